"""Networks for the doctor: with a mistake that a student would make, and healthy ones."""
