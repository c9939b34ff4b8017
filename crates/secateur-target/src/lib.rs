//! What a target is: cores, features, caches, preferred multiples.
