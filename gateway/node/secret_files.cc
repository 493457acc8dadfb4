#include "gateway/node/secret_files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "base/log.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway {
namespace {

constexpr mode_t kOpen = S_IRWXO | S_IWGRP;  // a group may read: a mounted Kubernetes Secret
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

// An older release has left it open.
void tighten(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0 || (s.st_mode & kOthers) == 0) return;
  if (::chmod(path.c_str(), s.st_mode & ~kOthers & 07777) == 0) return;
  BERTH_LOG(warn, "store is open to others file={} error=\"{}\"", path, std::strerror(errno));
}

void add_parts(std::vector<std::string>& to, const std::string& list) {
  std::istringstream in(list);
  for (std::string one; std::getline(in, one, ',');) to.push_back(one);
}

// A bad file of uplinks is told of elsewhere.
void add_uplinks(std::vector<std::string>& to, const std::string& path) {
  if (path.empty()) return;
  try {
    for (const uplink::UplinkConfig& c : uplink::read_uplinks(path))
      to.insert(to.end(), {c.password_file, c.key_file, c.secret_file, c.token_file});
  } catch (const std::runtime_error&) {
  }
}

}  // namespace

std::vector<std::string> open_secrets(const Config& c) {
  std::vector<std::string> files{c.password_file,       c.admin_token_file,     c.registry.file,
                                 c.tls.ticket_key_file, c.cluster.tls.key_file, c.redis_key_file};
  add_parts(files, c.tls.key_file);
  add_uplinks(files, c.uplinks_file);
  std::vector<std::string> open;
  for (const std::string& f : files) {
    struct stat s {};
    if (f.empty() || ::stat(f.c_str(), &s) != 0 || (s.st_mode & kOpen) == 0) continue;
    char mode[16];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(s.st_mode & 07777));
    open.push_back("file=" + f + " mode=" + mode);
  }
  return open;
}

void keep_secrets(const Config& config) {
  ::umask(kOthers);
  for (const char* name :
       {"store", "registry.db", "registry.db-wal", "registry.db-shm", "registry.good.yaml"})
    tighten(config.data_directory + "/" + name);
  for (const std::string& what : open_secrets(config))
    BERTH_LOG(warn, "secret file is open to others {} hint=\"chmod 600\"", what);
}

}  // namespace berth::gateway
