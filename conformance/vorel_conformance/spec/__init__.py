"""The contract document and the catalogue of clauses. Imports nothing else of the kit."""
