# Writes the table of make.py by R, which keeps 15 digits of a number: Rscript make.R
frame <- read.csv("pandas.csv", colClasses = c(number = "character"), na.strings = "")
frame$lift <- frame$lift == "True"
frame$sold <- as.POSIXct(frame$sold, tz = "UTC")
write.csv(frame, "r.csv", row.names = FALSE)
write.csv(frame, "r-row-names.csv")
write.csv2(frame, "r-csv2.csv", row.names = FALSE)
# Its usual \" is refused, as CSV doubles a quote; and R does not quote times.
write.table(transform(frame, sold = format(sold)), "r-table.txt", qmethod = "double")
write.table(frame, "r-table.tsv", sep = "\t", quote = FALSE, row.names = FALSE, na = "")
