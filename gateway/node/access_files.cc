#include "gateway/node/access_files.h"

#include <exception>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "gateway/engine/acl_file.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/good_files.h"
#include "gateway/runtime/degraded.h"

namespace berth::gateway {

using engine::PasswordFile;

namespace {

std::shared_ptr<const PasswordFile> load_users(const Config& config) {
  if (config.password_file.empty()) return nullptr;
  try {
    Passwords p = load_passwords(config);
    return p.none ? nullptr : std::make_shared<const PasswordFile>(std::move(p.file));
  } catch (const std::exception&) {  // the engine has begun with another: it says so
    return nullptr;
  }
}

}  // namespace

AccessFiles::AccessFiles(boost::asio::io_context& io, const Config& config,
                         engine::EngineShard& engine)
    : config_(config),
      engine_(engine),
      users_(load_users(config)),
      watch_(io, {config.acl_file, config.password_file}, [this] { read(); }) {
  if (!users_) return;
  engine_.use_users(
      [users = users_](std::string_view user) { return users->stored(user) != nullptr; });
}

void AccessFiles::read() {
  bool changed = false;
  try {
    changed = read_rules();
  } catch (const std::exception& e) {
    engine_.access_file_failed();
    runtime::set_degraded(runtime::Part::acl_file, e.what());
    BERTH_LOG(err, "acl_file not taken, the rules of before stay error=\"{}\"", e.what());
  }
  try {
    changed = read_users() || changed;
  } catch (const std::exception& e) {
    engine_.access_file_failed();
    runtime::set_degraded(runtime::Part::password_file, e.what());
    BERTH_LOG(err, "password_file not taken, the users of before stay error=\"{}\"", e.what());
  }
  if (changed) engine_.review_access();
}

bool AccessFiles::read_rules() {
  if (config_.acl_file.empty()) return false;
  engine::AclFile::load(config_.acl_file);  // throws, whatever else is forgiven
  engine_.use_access(load_access(config_));
  BERTH_LOG(info, "acl_file read again");
  return true;
}

bool AccessFiles::read_users() {
  if (config_.password_file.empty()) return false;
  if (PasswordFile::load(config_.password_file).size() == 0)
    throw std::runtime_error(config_.password_file + ": names nobody");
  auto users = std::make_shared<const PasswordFile>(load_passwords(config_).file);
  const auto before = std::exchange(users_, users);
  engine_.use_passwords(*users, [before, users](std::string_view user) {
    const std::string* now = users->stored(user);
    const std::string* then = before ? before->stored(user) : now;
    return now != nullptr && (then == nullptr || *then == *now);
  });
  BERTH_LOG(info, "password_file read again users={}", users->size());
  return true;
}

}  // namespace berth::gateway
