#include "gateway/node/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/log.h"
#include "gateway/node/engine_setup.h"
#include "gateway/registry/sqlite_copy.h"
#include "store/rocks_copies.h"
#include "store/store_access.h"

namespace berth::gateway {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr const char* kBegun = ".begun-";         // a backup that is not whole yet
constexpr const char* kRestoring = ".restoring";  // a copy that is not in its place yet
constexpr const char* kReplaced = "replaced-";
constexpr const char* kStoreName = "store";
constexpr const char* kMarkName = "store.mark";
constexpr const char* kRegistryName = "registry.db";
constexpr const char* kKeyName = "quarantine.key";
// Of free space beside what is copied: twice what the store must have to go on.
constexpr std::uint64_t kRoomKept = 2 * session::kStoreSpaceKept;

std::string text_of_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  struct tm utc {};
  ::gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &utc)};
}

std::uint64_t size_or_zero(const fs::path& file) {
  std::error_code ec;
  const std::uint64_t n = fs::file_size(file, ec);
  return ec ? 0 : n;
}

std::uint64_t bytes_below(const fs::path& directory) {
  std::uint64_t sum = 0;
  for (const auto& e : fs::recursive_directory_iterator(directory)) {
    if (e.is_regular_file()) sum += size_or_zero(e.path());
  }
  return sum;
}

void sync_path(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0) ::close(fd);
  if (!synced) throw std::runtime_error(path.string() + ": " + std::strerror(why));
}

void sync_tree(const fs::path& directory) {
  for (const auto& e : fs::recursive_directory_iterator(directory)) sync_path(e.path());
  sync_path(directory);
}

void expect_room(const fs::path& at, std::uint64_t bytes) {
  struct statvfs disk {};
  if (::statvfs(at.c_str(), &disk) != 0) throw std::runtime_error(at.string() + ": no statvfs");
  const std::uint64_t room = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (room < bytes + kRoomKept)
    throw std::runtime_error(at.string() + ": " + std::to_string(room) + " bytes are free, " +
                             std::to_string(bytes + kRoomKept) + " are needed");
}

void write_note(const fs::path& backup, const BackupNote& n) {
  std::ofstream out(backup / kBackupNote);
  out << json::serialize(json::object{
             {"name", n.name}, {"made_at", n.made_at}, {"version", n.version}, {"bytes", n.bytes}})
      << "\n";
  out.close();
  if (!out) throw std::runtime_error((backup / kBackupNote).string() + ": can't be written");
}

std::string text_member(const json::object& o, const char* name) {
  const json::value* const v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

// Of what is no backup the name is empty.
BackupNote read_note(const fs::path& backup) {
  std::ifstream in(backup / kBackupNote);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  boost::system::error_code ec;
  const json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) return {};
  const json::object& o = v.get_object();
  BackupNote n{text_member(o, "name"), text_member(o, "made_at"), text_member(o, "version")};
  if (const json::value* const bytes = o.if_contains("bytes");
      bytes != nullptr && bytes->is_int64() && bytes->get_int64() >= 0)
    n.bytes = static_cast<std::uint64_t>(bytes->get_int64());
  return n;
}

void remove_begun(const fs::path& backups) {
  std::vector<fs::path> begun;
  for (const auto& e : fs::directory_iterator(backups)) {
    if (e.path().filename().string().starts_with(kBegun)) begun.push_back(e.path());
  }
  for (const fs::path& path : begun) fs::remove_all(path);
}

void remove_oldest(const std::string& directory, std::size_t kept) {
  const std::vector<BackupNote> all = backups_in(directory);
  for (std::size_t i = 0; i + kept < all.size(); ++i) {
    fs::remove_all(fs::path(directory) / kBackups / all[i].name);
    BERTH_LOG(info, "oldest backup removed name={}", all[i].name);
  }
}

void fill_backup(const fs::path& from, const fs::path& to,
                 const std::function<void(const std::string&)>& copy_store) {
  // Before the store, which may be ahead of its mark but not behind.
  if (fs::exists(from / kMarkName)) fs::copy_file(from / kMarkName, to / kMarkName);
  copy_store(to / kStoreName);
  if (fs::exists(from / kRegistryName))
    registry::copy_sqlite(from / kRegistryName, to / kRegistryName);
  if (fs::exists(from / kKeyName)) fs::copy_file(from / kKeyName, to / kKeyName);
}

// What a restore replaces; the mark stays.
const std::vector<std::string>& replaced_files() {
  static const std::vector<std::string> kAll{kStoreName, kRegistryName, "registry.db-wal",
                                             "registry.db-shm", kKeyName};
  return kAll;
}

// As if the user of the directory had made it.
void give_to_owner_of(const fs::path& directory, const fs::path& tree) {
  struct stat s {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &s) != 0) return;
  const auto give = [&s](const fs::path& path) {
    if (::lchown(path.c_str(), s.st_uid, s.st_gid) != 0)
      throw std::runtime_error(path.string() + ": " + std::strerror(errno));
  };
  give(tree);
  for (const auto& e : fs::recursive_directory_iterator(tree)) give(e.path());
}

void expect_no_gateway(const fs::path& directory) {
  const int pid = session::holder_of(directory / kStoreName);
  if (pid == 0) return;
  throw std::runtime_error("a gateway runs on " + directory.string() +
                           (pid > 0 ? " (process " + std::to_string(pid) + ")" : std::string()) +
                           ": stop it first");
}

}  // namespace

std::string backup_name() {
  return text_of_time("%Y%m%dT%H%M%SZ");
}

BackupNote make_backup(const std::string& directory, const std::string& name, std::size_t kept,
                       const std::function<void(const std::string& to)>& copy_store,
                       const std::function<bool()>& give_up) {
  const fs::path from = directory;
  const fs::path backups = from / kBackups;
  fs::create_directories(backups);
  ::chmod(backups.c_str(), 0700);
  remove_begun(backups);
  const fs::path begun = backups / (kBegun + name);
  if (fs::exists(backups / name))
    throw std::runtime_error("there is a backup " + name + " already");
  expect_room(backups, size_or_zero(from / kRegistryName));
  try {
    fs::create_directory(begun);
    BackupNote n{name, text_of_time("%Y-%m-%dT%H:%M:%SZ"), kVersion};
    fill_backup(from, begun, copy_store);
    n.bytes = bytes_below(begun);
    write_note(begun, n);
    prove_backup(begun, give_up);
    sync_tree(begun);
    fs::rename(begun, backups / name);
    sync_path(backups);
    remove_oldest(directory, kept);
    return n;
  } catch (const std::exception&) {
    std::error_code ignored;
    fs::remove_all(begun, ignored);
    throw;
  }
}

std::vector<BackupNote> backups_in(const std::string& directory) {
  std::vector<BackupNote> all;
  std::error_code none;
  for (const auto& e : fs::directory_iterator(fs::path(directory) / kBackups, none)) {
    BackupNote n = read_note(e.path());
    if (!n.name.empty() && n.name == e.path().filename()) all.push_back(std::move(n));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

void prove_backup(const std::string& backup, const std::function<bool()>& give_up) {
  if (read_note(backup).name.empty())
    throw std::runtime_error(backup + ": no backup of a gateway (" + kBackupNote + " is missing)");
  session::verify_database(backup + "/" + kStoreName, give_up);
  if (const std::string file = backup + "/" + kRegistryName; fs::exists(file))
    registry::verify_sqlite(file);
}

std::string restore_backup(const std::string& backup, const std::string& directory) {
  const fs::path from = backup;
  const fs::path to = directory;
  if (read_note(from).name.empty())
    throw std::runtime_error(backup + ": no backup of a gateway (" + kBackupNote + " is missing)");
  fs::create_directories(to);
  expect_no_gateway(to);
  const fs::path copy = to / kRestoring;
  fs::remove_all(copy);
  expect_room(to, bytes_below(from));
  fs::copy(from, copy, fs::copy_options::recursive);
  prove_backup(copy);
  give_to_owner_of(to, copy);
  sync_tree(copy);
  expect_no_gateway(to);
  fs::path replaced = to / (kReplaced + backup_name());
  for (int n = 1; fs::exists(replaced); ++n)
    replaced = to / (kReplaced + backup_name() + "-" + std::to_string(n));
  bool any = false;
  // The store last: until then a gateway that began would have what it had.
  for (auto name = replaced_files().rbegin(); name != replaced_files().rend(); ++name) {
    if (fs::exists(to / *name)) {
      fs::create_directories(replaced);
      fs::rename(to / *name, replaced / *name);
      any = true;
    }
    if (fs::exists(copy / *name)) fs::rename(copy / *name, to / *name);
  }
  if (!fs::exists(to / kMarkName) && fs::exists(copy / kMarkName))
    fs::rename(copy / kMarkName, to / kMarkName);
  sync_path(to);
  fs::remove_all(copy);
  if (any) give_to_owner_of(to, replaced);
  return any ? replaced.string() : std::string();
}

}  // namespace berth::gateway
