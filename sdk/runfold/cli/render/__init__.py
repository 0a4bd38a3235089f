"""How answers look: plain data for programs, tables, trees and curves for people."""
