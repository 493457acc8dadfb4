#include "gateway/node/good_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/log.h"
#include "base/read_file.h"
#include "gateway/engine/acl_file.h"
#include "gateway/node/engine_setup.h"
#include "gateway/registry/file_registry.h"
#include "gateway/runtime/degraded.h"
#include "gateway/runtime/last_good.h"
#include "store/redis_connection.h"

namespace berth::gateway {

namespace {

std::atomic<bool> g_forgive{false};
std::mutex g_mutex;
std::map<std::string, std::string> g_good;  // by name: what was good in this process

void keep(const Config& config, const std::string& name, std::string bytes) {
  const std::lock_guard lock(g_mutex);
  if (runtime::can_be_kept(config.data_directory))
    runtime::LastGood(config.data_directory).keep(name, bytes);
  g_good[name] = std::move(bytes);
}

std::optional<std::string> copy_of(const Config& config, const std::string& name) {
  const std::lock_guard lock(g_mutex);
  if (const auto it = g_good.find(name); it != g_good.end()) return it->second;
  return runtime::LastGood(config.data_directory).read(name);
}

// The parsers read files: a copy is one without a name.
class Nameless {
 public:
  explicit Nameless(const std::string& bytes) : fd_(memfd_create("berth-copy", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("no memory for a copy of a file");
  }
  ~Nameless() {
    if (fd_ >= 0) ::close(fd_);
  }
  Nameless(const Nameless&) = delete;
  Nameless& operator=(const Nameless&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// False: neither the file nor a copy.
bool load(const Config& config, const std::string& name, runtime::Part part,
          const std::string& path, const std::function<void(const std::string&)>& parse) {
  try {
    std::string bytes =
        base::read_file(path);  // before it is parsed: never newer than what was good
    parse(path);
    keep(config, name, std::move(bytes));
    runtime::set_degraded(part, {});
    return true;
  } catch (const std::runtime_error& e) {
    if (!g_forgive) throw ConfigError(e.what());
    runtime::set_degraded(part, e.what());
    BERTH_LOG(err, "bad file error=\"{}\"", e.what());
  }
  try {
    const auto copy = copy_of(config, name);
    if (copy) {
      parse(Nameless(*copy).path());
      BERTH_LOG(err, "going on with the last good copy file={}", path);
      return true;
    }
  } catch (const std::runtime_error& e) {
    BERTH_LOG(err, "bad copy error=\"{}\"", e.what());
  }
  BERTH_LOG(err, "no good copy: log-ins are refused, or nothing goes to platforms file={}", path);
  return false;
}

class NobodyMay final : public session::AccessPolicy {
 public:
  bool may_publish(const session::Identity&, std::string_view) const override { return false; }
  bool may_subscribe(const session::Identity&, std::string_view) const override { return false; }
};

}  // namespace

metrics::Sample files_replaced_sample() {
  const std::vector<runtime::Degraded> now = runtime::degraded();
  const auto bad = std::count_if(now.begin(), now.end(), [](const runtime::Degraded& d) {
    return d.part == runtime::Part::acl_file || d.part == runtime::Part::password_file;
  });
  return {metrics::kFilesReplaced,
          "",
          "",
          "Password and ACL files that are bad: use berth_degraded, this one goes with a release",
          false,
          static_cast<std::uint64_t>(bad)};
}

void forgive_bad_files() {
  g_forgive = true;
}

Passwords load_passwords(const Config& config) {
  Passwords p;
  if (config.password_file.empty()) return p;
  p.none = !load(config, "password-file", runtime::Part::password_file, config.password_file,
                 [&p](const std::string& path) { p.file = engine::PasswordFile::load(path); });
  return p;
}

std::unique_ptr<session::AccessPolicy> load_acl(const Config& config) {
  std::unique_ptr<session::AccessPolicy> policy;
  if (config.acl_file.empty()) return policy;
  const bool good = load(config, "acl-file", runtime::Part::acl_file, config.acl_file,
                         [&policy](const std::string& path) {
                           policy = std::make_unique<engine::AclFile>(engine::AclFile::load(path));
                         });
  if (!good) policy = std::make_unique<NobodyMay>();
  return policy;
}

std::vector<uplink::UplinkConfig> load_uplinks(const Config& config) {
  std::vector<uplink::UplinkConfig> all;
  if (config.uplinks_file.empty()) return all;
  load(config, "uplinks-file", runtime::Part::uplinks_file, config.uplinks_file,
       [&all](const std::string& path) { all = uplink::read_uplinks(path); });
  return all;
}

void prove_files(const Config& config) {
  try {
    if (!config.uplinks_file.empty()) uplink::read_uplinks(config.uplinks_file);
    if (!config.password_file.empty()) engine::PasswordFile::load(config.password_file);
    if (!config.acl_file.empty()) engine::AclFile::load(config.acl_file);
    if (config.registry.source == RegistryConfig::Source::file)
      registry::FileRegistry(config.registry.file).read();
  } catch (const std::runtime_error& e) {
    throw ConfigError(e.what());
  }
}

namespace {

// The one who serves has the database open, so it can't be opened; its directory can be written.
void prove_directory(const std::string& data) {
  const std::string probe = data + "/store/probe." + std::to_string(getpid());
  const int fd = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool good = fd >= 0 && ::write(fd, "probe\n", 6) == 6 && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0) {
    ::close(fd);
    ::unlink(probe.c_str());
  }
  if (!good) throw std::runtime_error("store.directory: " + data + "/store: " + std::strerror(why));
}

}  // namespace

void prove_store(const Config& config) {
  try {
    if (config.store_url.empty()) return prove_directory(config.data_directory);
    session::RedisConnection redis(redis_options(config));
    redis.connect();
    redis.call({"GET", redis_options(config).slot_key + "partitions"});
  } catch (const std::runtime_error& e) {
    throw ConfigError(std::string("the store can't be reached: ") + e.what());
  }
}

}  // namespace berth::gateway
