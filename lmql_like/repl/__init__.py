"""The interactive session: one program that grows with every input.

* `pieces`: an input, and what it adds to the program
* `session`: what was reached; the next input runs from there
* `inspection`, `tree`: what `:mask`, `:why`, `:stats` and `:tree` show
* `commands`: the table of `:commands`
* `editing`, `highlighting`: completion, colours, when an input is complete
* `app`: the terminal
"""
