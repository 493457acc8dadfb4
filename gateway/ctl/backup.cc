#include "gateway/ctl/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"
#include "gateway/node/backup.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr const char* kBackupsPath = "/api/v1/backups";

json::object member_of(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_object() ? v->get_object() : json::object();
}

bool lists(const json::object& state, const std::string& name) {
  for (const json::value& v : list_in(state, "items")) {
    if (v.is_object() && text_in(v.get_object(), "name") == name) return true;
  }
  return false;
}

int fail_with(const std::string& why) {
  std::fprintf(stderr, "berth ctl: %s\n", without_controls(why, false).c_str());
  return 1;
}

}  // namespace

BackupVerbs::BackupVerbs(CLI::App& control) {
  backup_ = control.add_subcommand(
      "backup", "save the sessions and the registry of a gateway with the embedded store");
  backup_->require_subcommand(0, 1);
  backup_->add_option("--wait-s", limit_s_, "how long to wait for its end [3600]")
      ->check(CLI::Range(1, 86'400));
  list_ = backup_->add_subcommand("list", "those that are there");
  restore_ = control.add_subcommand(
      "restore", "put a backup into the place of the data of a gateway that does not run");
  restore_->add_option("backup", from_, "its directory, or its name if it is below --data")
      ->required();
  restore_->add_option("--data", data_, "store.directory of the gateway")->required();
}

int BackupVerbs::list(const Ctl& admin) const {
  const admin::Response r = ask(admin, "GET", kBackupsPath);
  return print_answer(admin, r, [](const std::string& body) {
    const json::object o = object_of(body);
    std::string out = table_of(list_in(o, "items"), {"name", "made_at", "version", "bytes"}) +
                      "\nin " + text_in(o, "directory") + ", the newest " +
                      std::to_string(number_in(o, "kept")) + " are kept\n";
    if (const std::string running = text_in(o, "running"); !running.empty())
      out += running + " is being made\n";
    return out;
  });
}

int BackupVerbs::make(const Ctl& admin) const {
  const admin::Response r = ask(admin, "POST", kBackupsPath);
  if (r.status != 202) {
    return print_refusal(admin, r);
  }
  const std::string name = text_in(object_of(r.body), "name");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(limit_s_);
  while (std::chrono::steady_clock::now() < end) {
    const admin::Response looked = ask(admin, "GET", kBackupsPath);
    const json::object now = object_of(looked.body);
    if (lists(now, name)) {
      std::printf("%s/%s\n", text_in(now, "directory").c_str(), name.c_str());
      return 0;
    }
    if (const json::object failed = member_of(now, "failed"); text_in(failed, "name") == name)
      return fail_with("no backup was made: " + text_in(failed, "why"));
    if (looked.status == 200 && text_in(now, "running") != name)
      return fail_with("no backup was made: the engine has ended meanwhile; ask again");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // between two looks
  }
  return fail_with("it is still being made: berth ctl backup list");
}

int BackupVerbs::restore() const {
  namespace fs = std::filesystem;
  const fs::path below = fs::path(data_) / kBackups / from_;
  const fs::path from = fs::exists(fs::path(from_)) || !fs::exists(below) ? fs::path(from_) : below;
  ::umask(0077);  // what is restored is for the gateway's user only
  try {
    const std::string replaced = restore_backup(from.string(), data_);
    std::printf("restored %s into %s\n", from.c_str(), data_.c_str());
    if (!replaced.empty())
      std::printf("what was there is in %s: remove it when all is well\n", replaced.c_str());
    return 0;
  } catch (const std::exception& e) {
    return fail_with(e.what());
  }
}

std::optional<int> BackupVerbs::run(const Ctl& admin) const {
  if (*restore_) return restore();
  if (*list_) return answered([&] { return list(admin); });
  if (*backup_) return answered([&] { return make(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
