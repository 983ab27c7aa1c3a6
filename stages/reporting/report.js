// Searches the reviews of the page for words: reviews without them are hidden, in the others they are highlighted.
const form = document.getElementById("search");
const input = document.getElementById("word");
const found = document.getElementById("found");
const reviews = [...document.querySelectorAll(".review")].map((element) => ({
  element,
  words: [...element.querySelectorAll(".words span")].map((span) => ({ span, text: span.textContent.toLowerCase() })),
}));

function search() {
  const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { element, words } of reviews) {
    const seen = new Set();
    let first = null;
    for (const { span, text } of words) {
      const hits = wanted.filter((part) => text.includes(part));
      span.classList.toggle("hit", hits.length > 0);
      hits.forEach((part) => seen.add(part));
      first ??= hits.length ? span : null;
    }
    element.hidden = seen.size < new Set(wanted).size;
    if (!element.hidden) shown += 1;
    if (first) first.parentElement.scrollTop = first.offsetTop - first.parentElement.offsetTop - 40;
  }
  found.textContent = wanted.length ? `in ${shown} of ${reviews.length} reviews` : "";
}

form.hidden = reviews.length === 0;  // without scripts there is no search, and no field for it
input.addEventListener("input", search);
form.addEventListener("submit", (event) => event.preventDefault());
