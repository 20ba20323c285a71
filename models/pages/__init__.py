"""Pages for people: elements, charts and sentences, without any exact figure of a simulation."""
