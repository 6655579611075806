"""From a file to typed columns and to a network's inputs, saying what was done with every column.

A file goes through these steps, one file each: `source` gives bytes of UTF-8, `delimited` and `parquet` give named
columns of values, `columns` finds the kind of each (`number_texts` and `date_texts` read what stands in texts),
`identify` leaves out those that only name the row, `suspicions` looks at the columns beside the labels, and `encoder`
learns from the training rows how columns become inputs. `fates` holds what was decided. `match` brings another table
into the form that a fitted encoder takes.
"""
