// The program that the next engine is started from.
#pragma once

#include <string>

namespace berth::gateway {

// The absolute path by which this process was started (its argv[0], looked for in PATH if it has no
// slash). Symlinks are not resolved: a new engine is the program that they lead to when it is
// started. If that path is gone, or was another program from the beginning: the file that this
// process was started from. REQUIRES: the first call comes before that file is replaced. Any
// thread.
std::string engine_path();
// Why the path by which this process was started leads to no program now; empty: it leads to one,
// or the path is not known. If not empty, engine_path() is the file that runs: right for an engine
// that replaces a dead one, wrong for an upgrade.
std::string why_no_new_engine();

}  // namespace berth::gateway
