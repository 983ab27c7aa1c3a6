"""One script per stage. Code that several of them share is in the folders beside them: see CONTRIBUTING.md."""
