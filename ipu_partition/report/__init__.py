"""Shows plans to people. Renders the fields of a plan; decides and predicts nothing."""
