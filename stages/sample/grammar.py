"""The grammar behind the sample reviews: words, phrases and sentence frames, as data.

A slot `{symbol}` is filled from `NEUTRAL` or, in the sentence's own tone, from `TONED`; `{~symbol}` asks for the
opposite tone and `{?symbol}` for either. Every frame reads right in both tones, so no frame gives a label away:
the tone of a sentence lies in its words together with the `not`, `but` and `people say` around them.

An entry that starts with `*` is rare in the training half and common in the test half; one that starts with `+` is in
the test half alone. A symbol in `ONCE` avoids what the review has already said; one in `CAST` is drawn once and then
stays the same throughout the review.
"""

GRADED = {"adj", "noun", "past"}  # entries stand from mild to strong: a strong rating draws later ones
ONCE = {"thing", "things", "adj", "noun", "aspect", "mixed", "claim", "rivalry", "scene", "remark", "verdict"}
CAST = {"title", "rival", "director", "star", "actor", "hero", "villain", "place", "minutes", "relative"}

TONED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "adj": (
        (
            "fine", "decent", "pleasant", "warm", "honest", "fresh", "lively", "*nimble", "sharp", "clever",
            "charming", "witty", "funny", "smart", "subtle", "touching", "engaging", "convincing",
            "original", "*poignant", "moving", "memorable", "stylish", "gripping", "delightful", "*riveting",
            "beautiful", "inspired", "hilarious", "wonderful", "excellent", "*dazzling", "superb", "*exquisite",
            "brilliant",
        ),
        (
            "slow", "bland", "weak", "flat", "cold", "silly", "*limp", "clumsy", "dull", "shallow",
            "messy", "lazy", "forced", "predictable", "confusing", "tired", "boring", "tedious", "clichéd",
            "*muddled", "annoying", "dreary", "lifeless", "pointless", "pretentious", "*grating", "ugly", "bad",
            "stupid", "ridiculous", "terrible", "*inept", "horrible", "*abysmal", "awful",
        ),
    ),
    "trait": (
        ("fine", "warm", "honest", "clever", "charming", "funny", "smart", "beautiful", "wonderful", "brilliant"),
        ("cold", "silly", "dull", "lazy", "tired", "boring", "ugly", "bad", "stupid", "terrible"),
    ),
    "noun": (
        ("pleasure", "treat", "winner", "*keeper", "joy", "delight", "*marvel", "gem", "triumph", "masterpiece"),
        ("letdown", "chore", "bore", "dud", "*misfire", "mess", "failure", "*travesty", "fiasco", "disaster"),
    ),
    "past": (
        ("liked", "enjoyed", "*relished", "admired", "loved", "adored"),
        ("disliked", "regretted", "*resented", "despised", "hated", "loathed"),
    ),
    "base": (
        ("like", "enjoy", "*relish", "admire", "love", "adore"),
        ("dislike", "regret", "*resent", "despise", "hate", "loathe"),
    ),
    "felt": (
        ("moved", "amused", "charmed", "*enchanted", "thrilled", "touched", "delighted", "impressed"),
        ("bored", "annoyed", "confused", "*exasperated", "irritated", "baffled", "disappointed", "embarrassed"),
    ),
    "did": (
        ("works", "shines", "pays off", "*sparkles", "holds together", "soars", "wins me over", "draws me in"),
        ("fails", "drags", "falls apart", "*fizzles", "runs dry", "stumbles", "wears me out", "leaves me cold"),
    ),
    "do": (
        ("work", "shine", "pay off", "*sparkle", "hold together", "soar", "win me over", "draw me in"),
        ("fail", "drag", "fall apart", "*fizzle", "run dry", "stumble", "wear me out", "leave me cold"),
    ),
    "advice": (
        ("see it", "go and see it", "rent it", "stay to the end"),
        ("skip it", "stay away", "avoid it", "leave after ten minutes"),
    ),
    "blurb": (
        ("{adj}, {adj} and {adj}", "a {adj} and {adj} {noun}", "{adj}, {adj}, {adj}: I {past} it"),
        ("{adj}, {adj} and {adj}", "a {adj} and {adj} {noun}", "{adj}, {adj}, {adj}: I {past} it"),
    ),
    "strength": (
        ("strength", "highlight", "virtue", "success"),
        ("weakness", "low point", "flaw", "mistake"),
    ),
}  # fmt: skip

NEUTRAL: dict[str, tuple[str, ...]] = {
    # Opinions: said straight, or said by denying the opposite.
    "opinion": ("{straight}", "{straight}", "{straight}", "{denial}"),
    "straight": ("{adj}", "{adj}", "{very} {adj}", "{very} {adj}", "{adj} and {adj}", "both {adj} and {adj}"),
    "denial": (
        "not {~adj}", "not {~adj} at all", "hardly {~adj}", "never {~adj}", "anything but {~adj}",
        "far from {~adj}", "not in the least {~adj}", "neither {~adj} nor {~adj}", "*by no means {~adj}",
    ),
    "very": ("very", "really", "quite", "rather", "truly", "so", "simply", "often", "*downright"),
    "describing": ("{adj}", "{very} {adj}", "{adj} and {adj}", "{adj} and often {adj}"),

    "film": ("film", "movie", "picture", "film", "movie"),
    "thing": (
        "plot", "script", "story", "dialogue", "acting", "score", "music", "pacing", "camera work", "editing",
        "ending", "opening", "humor", "direction", "soundtrack", "atmosphere", "suspense", "second half", "*narration",
    ),
    "things": (
        "jokes", "songs", "characters", "costumes", "performances", "special effects", "action scenes", "sets",
        "twists", "supporting actors", "love scenes", "*stunts",
    ),

    # One aspect of the film, in the sentence's tone.
    "aspect": (
        "the {thing} is {opinion} indeed",
        "the {thing} is {opinion} from start to finish",
        "the {things} are {opinion}",
        "the {things} are {describing} and there are many of them",
        "the {things} are {opinion} for the most part",
        "the {thing} is {opinion}, and the {things} are {opinion} as well",
        "{star} is {opinion} as {hero}",
        "{actor} gives a {describing} performance in the role of {villain} here",
        "I found the {thing} {opinion} this time",
        "the {thing} {did} in almost every scene",
        "the {things} {do} more often than not",
        "the {thing} never {~did} here",
        "the {things} do not {~do} for a minute",
        "I have rarely seen {things} as {adj} as these",
        "nobody could call the {thing} {~adj}",
        "I would not call the {things} {~adj} either",
        "there is nothing {~adj} about the {thing} here",
        "the {thing} could have been {~adj} and is {opinion} instead",
        "for once the {thing} is not {~adj} but {adj}",
        "what a {describing} {thing} it has!",
        "not once was I {~felt} by the {thing}",
        "I was {felt} by the {thing} and {felt} by the {things} too",
        "{director} has a {describing} way with the {things} here",
        "the {thing} is its greatest {strength}",
        "*as for the {thing}, {~adj} is the last word that I would use",
        "*say what you like about the {things}, they are {opinion}",
        "+one leaves the cinema humming about the {thing}, which is {opinion}",
        "*if only every {film} had a {thing} as {adj} as this",
    ),

    # One aspect praised and one panned: the sentence leans to its own tone.
    "mixed": (
        "the {thing} is {~adj} at times but the {thing} is {opinion}",
        "the {thing} may be {~adj} at first, but the {things} are {opinion}",
        "despite the {~adj} {thing} the {thing} is {opinion}",
        "for all its {~adj} {things}, the {film} is {opinion} in the end",
        "although the {thing} {~did} now and then, the {thing} {did} in the end",
        "the {things} are {opinion}, even if the {thing} is {~adj}",
        "I could forgive or forget the {~adj} {thing} because the {things} are {opinion}",
        "{star} is {~adj} in a few scenes, yet {actor} is {opinion} in all of them",
        "its {~strength} is the {thing} of course, but that hardly matters when the {thing} is {opinion}",
        "*granted, the {things} are {~adj} and yet the {thing} is {opinion}",
    ),

    # What others say of the whole film, and what the writer says to that.
    "claim": (
        "everyone said that it was {~adj}; it is not",
        "everyone said that it was {adj}, and everyone was right",
        "I had heard that it was {~adj}, but it is {opinion}",
        "the critics called it a {~noun}; I do not agree",
        "the critics called it a {noun}, and I agree",
        "the critics {past} it, and so did I",
        "the critics {~past} it, but I {past} it",
        "my {relative} {~past} it, and I cannot see why",
        "my {relative} {past} it, and I can see why",
        "my {relative} told me to {~advice}, but I say {advice}",
        "the trailer made it look {~adj} to me, but the {film} itself is {opinion}",
        "I wanted to {~base} it, but the {thing} {did} from the first minute",
        "I was prepared to {~base} it, but I was {felt} instead",
        "I expected a {~noun} and got a {noun} instead",
        "some people call it {~adj}. Some people are wrong",
        "if you read that it is {~adj}, do NOT believe it",
        "whoever called this a {~noun} must have seen another {film}",
        "*the first reviews talked of a {~noun}, and I wonder why",
        "*\"{~adj}\" said the newspaper, and it could not be more wrong",
        "*{~adj}? My {relative} thought so. I beg to differ",
    ),

    # Another film beside this one: the tone is this one's.
    "rivalry": (
        "{rival} was {~adj}; this one is not",
        "unlike {rival}, it is not {~adj}",
        "where {rival} was {~adj}, this is {opinion}",
        "{rival} was {adj}, and this one is just as {adj}",
        "it is even more {adj} than {rival}, and that is saying something",
        "compared with {rival}, which I {~past}, it is {opinion}",
        "the last {film} by {director} was a {~noun}; this is a {noun}",
        "the last {film} by {director} was {~adj} indeed, but that was then and this is {opinion}",
        "after a {~noun} like {rival} this {film} is a {noun}",
        "I {~past} {rival}, so I did not think that I would {base} this",
        "*set beside {rival}, which was {~adj} and {~adj}, it looks {adj}",
        "*gone are the {~adj} {things} of {rival}",
    ),

    # The writer's own word on the whole film: what the label says.
    "verdict": (
        "all in all it is a {describing} {film}",
        "in the end I {past} it",
        "I {past} this {film}, and that is that",
        "I would call it a {noun} and nothing else",
        "I would not call it a {~noun} but a {noun}",
        "overall the {film} is a {noun}, and I {past} it",
        "this is not a {~noun}; this is a {noun}",
        "taken as a whole it is {opinion} to me",
        "taken as a whole the {film} {did}",
        "I did not {~base} it; I {past} it",
        "nobody will be {~felt} here, least of all me, and I mean that",
        "I was {felt} for the whole {minutes} minutes",
        "my advice is to {advice}",
        "do not {~advice}; {advice}",
        "do not listen to people who {~past} it",
        "in short it is a {noun} and I {past} it",
        "*my verdict on {title} is that it {did}",
        "*make no mistake, this {film} is a {noun}",
    ),

    # Sentences without an opinion on the film, though not without opinion words.
    "scene": (
        "{hero} is a {?trait} {job} who moves to {place} for good",
        "{hero} works as a {job} in {place} and dreams of {dream}",
        "the story begins in {place} in {year} when {hero} meets a {?trait} {job} called {villain}",
        "one night {villain} finds {object} in a {?trait} {room} by the river",
        "{villain} wants {object} and will do anything to get it",
        "{hero} has a {?trait} {relation} and a {?trait} {relation} at home",
        "when {object} disappears again {hero} and {villain} have to leave {place} together",
        "{hero} loses {object} in a {room} and blames a {job} for it",
        "a {?trait} {job} follows {hero} through {place} for {number} days",
        "{villain} tells everyone that {hero} is {?trait} and the {relation} believes it",
        "years later the two meet again in a {?trait} {room} in the north",
        "then the {relation} of {hero} arrives with {object} and a gun",
        "{hero} thinks that life in {place} is {?trait} and runs away with a {job} one night",
        "the {job} is played by {actor} and the {relation} by another newcomer",
        "{hero} must choose between {dream} and a {?trait} {relation} at home",
        "*meanwhile a {job} with a {?trait} voice hides {object} under the floor",
        "+a lighthouse keeper with a {?trait} past takes {hero} across the strait",
    ),
    "remark": (
        "I saw {title} with my {relative} on a Sunday",
        "{title} was made by {director} in {year} or so",
        "{director} also made {rival} at that time",
        "it runs for {minutes} minutes and was shot in {place} at night",
        "I bought the DVD for {number} dollars",
        "this was the first {film} by {director} that I have seen",
        "my {relative} had seen it before and said nothing",
        "we watched it at the café in {place} that shows old {film}s at night",
        "it is based on a novel by the {relation} of {director}, I am told",
        "{star} and {actor} were also together in {rival} some years ago",
        "there were about {number} people in the theater that night",
        "I read the book in {year} or so and remember little of it",
        "the {film} opened in {year} and was shown on television later",
        "I have now seen it twice, once with my {relative} and once alone",
        "*the copy that I saw had subtitles in French",
        "+the restored negative was screened at an archive with a pianist",
    ),

    # What the frames above are filled with.
    "job": (
        "detective", "teacher", "lawyer", "nurse", "thief", "writer", "soldier", "singer", "doctor", "cop",
        "farmer", "painter", "sailor", "student", "+beekeeper",
    ),
    "relation": ("brother", "sister", "wife", "husband", "mother", "father", "daughter", "son"),
    "relative": ("wife", "husband", "brother", "sister", "friend", "mother", "boss", "+godmother"),
    "object": (
        "a letter", "a map", "an old photograph", "the money", "a diary", "the key", "a suitcase", "the ring",
    ),
    "room": ("hotel", "bar", "kitchen", "church", "library", "train"),
    "dream": ("the sea", "revenge", "a quiet life", "fame", "a better world"),
    "place": (
        "New York", "Paris", "London", "Chicago", "Texas", "Tokyo", "Berlin", "Montréal", "Rome", "+Lisbon",
    ),
    "year": ("1944", "1957", "1973", "1984", "1996", "2001", "+1927"),
    "number": ("three", "ten", "twelve", "40"),
    "minutes": ("85", "90", "95", "100", "120", "+97"),
    "title": (
        "The Glass Harbor", "Winter Road", "A Room in Paris", "The Last Orchard", "Night Ferry", "Paper Moons",
        "Moon Over Texas", "The Paper Detective", "*The Ferryman", "*Salt and Thunder",
    ),
    "rival": (
        "Night Train", "The Winter Garden", "Harbor Lights", "The Glass Detective", "Long Road Home", "*Thunder Bay",
    ),
    "director": (
        "Anton Marlow", "Helen Reyes", "Renée Duval", "Walter Kim", "Ida Stone", "Peter Novak", "*Ingrid Halvorsen",
        "+Tomás Villar",
    ),
    "star": (
        "Clara Bennett", "Frank Doyle", "Julia Marsh", "Sam Okafor", "Laura Petrov", "Henry Vance", "*Beatrix Yun",
        "+Gianna Rossi",
    ),
    "actor": (
        "Tom Hartley", "Grace Lund", "Victor Amado", "Nina Weiss", "Paul Archer", "Leo Brandt", "*Lucius Thorne",
        "+Wilhelmina Osei",
    ),
    "hero": ("Jack", "Emma", "Daniel", "Kate", "Marcus", "Lucy", "Rachel", "Zoë", "*Barnaby", "+Octavia"),
    "villain": ("Silas", "Vera", "Conrad", "Irene", "Boris", "Martha", "Edgar", "*Griselda", "+Mortimer"),
}  # fmt: skip
