"""Looking at a deployment from outside: what the log says, as rows; and what moves a group."""
