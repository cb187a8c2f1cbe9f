"""Reports for people: self-contained HTML pages that load nothing, made from data by templates."""
