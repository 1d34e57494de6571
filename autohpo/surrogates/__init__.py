"""Models of a search so far: arrays of the unit cube in, arrays out; no trials, no names of parameters."""
