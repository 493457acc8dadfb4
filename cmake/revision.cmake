# Writes OUTPUT, which says of which revision the source is: at each build, since commits come between two runs of cmake. The file
# is left alone while it says the same. `-dirty`: files that the repository knows differ from it.
set(revision "${REVISION}")
if(NOT revision AND GIT)
  execute_process(COMMAND ${GIT} rev-parse --short=12 HEAD WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT} status --porcelain --untracked-files=no WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE changes ERROR_QUIET)
  if(revision AND changes)
    string(APPEND revision -dirty)
  endif()
endif()
if(NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "gateway/node/engine_setup.h"

namespace berth::gateway {

const char kSourceRevision[] = "@revision@";

}  // namespace berth::gateway
]])
