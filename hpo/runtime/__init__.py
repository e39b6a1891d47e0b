"""A worker at work on a study, from the study file and the data to the finished champion."""
