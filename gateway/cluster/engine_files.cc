#include "gateway/cluster/engine_files.h"

#include <stdexcept>

#include "gateway/engine/password_file.h"
#include "gateway/engine_setup.h"

namespace berth::gateway::cluster {

std::vector<std::string> engine_files(const Config& config) {
  return {config.acl_file, config.password_file};
}

std::string engine_files_error(const Config& config) {
  try {
    load_access(config);
    if (!config.password_file.empty()) engine::PasswordFile::load(config.password_file);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace berth::gateway::cluster
