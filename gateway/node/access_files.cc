#include "gateway/node/access_files.h"

#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"
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

AccessFiles::AccessFiles(Reload& reload, std::shared_ptr<const runtime::FileSet> read,
                         const Config& config, engine::EngineShard& engine)
    : config_(config), engine_(engine) {
  {
    std::optional<base::ReadFrom> from;
    if (read) from.emplace(read->texts);
    users_ = load_users(config);
  }
  if (users_) {
    engine_.use_users(
        [users = users_](std::string_view user) { return users->stored(user) != nullptr; });
  }
  follows_.push_back(reload.on_taken([this](const Reload::Taken& t) {
    if (t.has(config_.acl_file)) read_rules();
    if (t.has(config_.password_file)) read_users();
  }));
  follows_.push_back(reload.on_judged([this](const std::vector<Wrong>& w) { hear(w); }));
  const auto now = reload.current();
  if (now == nullptr || now == read) return;  // as the engine has read them
  const base::ReadFrom from(now->texts);
  if (!config.acl_file.empty()) read_rules();
  if (!config.password_file.empty()) read_users();
}

void AccessFiles::hear(const std::vector<Wrong>& wrong) {
  for (const Wrong& w : wrong) {
    const bool rules = w.cause == Wrong::Cause::acl_file;
    if (!rules && w.cause != Wrong::Cause::password_file) continue;
    engine_.access_file_failed();
    BERTH_LOG(err, "{} not taken, the {} of before stay error=\"{}\"",
              rules ? "acl_file" : "password_file", rules ? "rules" : "users", w.why);
  }
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
