"""What a request to the API meets, one module a step; `pipeline` has the order."""
