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
      rules_watch_(io, {config.acl_file}, [this] { read_rules(); }),
      users_watch_(io, {config.password_file}, [this] { read_users(); }) {
  if (!users_) return;
  engine_.use_users(
      [users = users_](std::string_view user) { return users->stored(user) != nullptr; });
}

void AccessFiles::read_rules() {
  try {
    engine::AclFile::load(config_.acl_file);  // throws, whatever else is forgiven
    engine_.use_access(load_access(config_));
  } catch (const std::exception& e) {
    engine_.access_file_failed();
    runtime::set_degraded(runtime::Part::acl_file, e.what());
    BERTH_LOG(err, "acl_file not taken, the rules of before stay error=\"{}\"", e.what());
    return;
  }
  BERTH_LOG(info, "acl_file read again");
  engine_.review_access();
}

void AccessFiles::read_users() {
  try {
    PasswordFile::load(config_.password_file);
    auto users = std::make_shared<const PasswordFile>(load_passwords(config_).file);
    const auto before = std::exchange(users_, users);
    engine_.use_passwords(*users, [before, users](std::string_view user) {
      const std::string* now = users->stored(user);
      const std::string* then = before ? before->stored(user) : now;
      return now != nullptr && (then == nullptr || *then == *now);
    });
    static const PasswordFile kNone;
    const PasswordFile::Difference d = users->since(before ? *before : kNone);
    BERTH_LOG(info, "password_file read again users={} added={} removed={} changed={}",
              users->size(), d.added, d.removed, d.changed);
  } catch (const std::exception& e) {
    engine_.access_file_failed();
    runtime::set_degraded(runtime::Part::password_file, e.what());
    BERTH_LOG(err, "password_file not taken, the users of before stay error=\"{}\"", e.what());
    return;
  }
  engine_.review_access();
}

}  // namespace berth::gateway
