"""What `import rbench` offers: components, judging of models in memory, suites, tables. Each module is imported when it is first used."""
