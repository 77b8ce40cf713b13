"""The playground: a perceptron that one reshapes with the mouse while it learns.

data.py draws points in the plane, in two classes. model.py has the perceptron: it trains it and
says what the page shows. server.py answers the page's requests; page.html, page.css and page.js
only draw what they are told.
"""
