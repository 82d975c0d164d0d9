"""TRL's trainers over our model, loss and data: `python -m sparksmith.train FOLDER` carries out a plan."""
