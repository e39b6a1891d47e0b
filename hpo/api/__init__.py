"""The Python face of the project: what `import hpo` offers, imported on the first use of each name."""
