"""One script a stage; what several need stands in the rooms beside them: see CONTRIBUTING.md."""
