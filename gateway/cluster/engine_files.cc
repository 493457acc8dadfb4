#include "gateway/cluster/engine_files.h"

#include <stdexcept>

#include "gateway/node/good_files.h"

namespace berth::gateway::cluster {

std::vector<std::string> engine_files(const Config& config) {
  const bool registered = config.registry.source == RegistryConfig::Source::file;
  return {config.acl_file, config.password_file, registered ? config.registry.file : ""};
}

std::string engine_files_error(const Config& config) {
  try {
    prove_files(config);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace berth::gateway::cluster
