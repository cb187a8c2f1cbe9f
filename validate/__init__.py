# For what it sets in the environment, which has to come before the import of any library.
import exporter as exporter
