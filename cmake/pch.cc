// The target of pch.h needs a source file.
