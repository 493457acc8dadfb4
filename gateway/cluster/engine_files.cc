#include "gateway/cluster/engine_files.h"

#include <stdexcept>

#include "gateway/node/good_files.h"

namespace berth::gateway::cluster {

std::string engine_files_error(const Config& config) {
  try {
    prove_files(config);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return {};
}

std::string engine_files_error(const std::vector<Wrong>& wrong) {
  using Cause = Wrong::Cause;
  for (const Wrong& w : wrong) {
    if (w.cause == Cause::acl_file || w.cause == Cause::password_file ||
        w.cause == Cause::registry_file)
      return w.why;
  }
  return {};
}

}  // namespace berth::gateway::cluster
