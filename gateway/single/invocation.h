// The program that the next engine is started from.
#pragma once

#include <string>

namespace berth::gateway {

// The path by which this process was started (its argv[0], looked for in PATH if it has no slash),
// absolute, with its symlinks as they are, so that an engine is of what they lead to when it is
// started. Where that path is gone, or was another program from the beginning: the file that this
// process was started from. The first call must come before that file is replaced. Any thread.
std::string engine_path();
// Why the path by which this process was started leads to no program now; empty: it does, or the
// path is not known. engine_path() is then the file that runs, which is right for an engine that
// replaces a dead one and wrong for an upgrade.
std::string why_no_new_engine();

}  // namespace berth::gateway
