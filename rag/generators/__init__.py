"""What turns a question and passages into an answer with citations, behind one protocol."""
