#include "gateway/node/principal_secret.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <stdexcept>

#include "base/log.h"
#include "base/text.h"
#include "gateway/link/principal_id.h"
#include "gateway/node/engine_setup.h"
#include "store/redis_connection.h"

namespace berth::gateway {

namespace {

constexpr std::size_t kBytes = 32;
constexpr std::chrono::seconds kAgain{1};

std::string made() {
  std::string bytes(kBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), kBytes) != 1)
    throw std::runtime_error("no random bytes");
  return base::to_hex(bytes);
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return text.size() == 2 * kBytes ? text : std::string();
}

// Written aside and linked into its place: one of two engines that start at a time wins.
std::string of_file(const std::string& directory) {
  const std::string path = directory + "/quarantine.key";
  if (std::string text = read(path); !text.empty()) return text;
  const std::string text = made();
  const std::string draft = path + "." + std::to_string(::getpid());
  ::mkdir(directory.c_str(), 0700);
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == ssize_t{2 * kBytes} && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (written && ::link(draft.c_str(), path.c_str()) != 0 && errno == EEXIST && read(path).empty())
    ::rename(draft.c_str(), path.c_str());  // what is there is no key
  const int why = errno;
  ::unlink(draft.c_str());
  std::string kept = read(path);
  if (!kept.empty()) return kept;
  BERTH_LOG(warn, "no key of quarantines kept file={} error=\"{}\"", path, std::strerror(why));
  return text;
}

std::string of_redis(Config whole) {
  whole.redis_partition.clear();
  const session::RedisOptions options = redis_options(whole);
  session::RedisConnection redis(options);
  redis.connect();
  const std::string key = options.slot_key + "quarantine-key";
  redis.call({"SET", key, made(), "NX"});
  return redis.call({"GET", key}).as_text();
}

}  // namespace

void load_principal_secret(const Config& config) {
  if (link::has_principal_secret()) return;
  link::use_principal_secret(config.store_url.empty() ? of_file(config.data_directory)
                                                      : of_redis(config));
}

PrincipalSecretLoader::PrincipalSecretLoader(const Config& config) {
  if (config.store_url.empty()) {
    load_principal_secret(config);
    return;
  }
  thread_ = std::jthread([config](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any again;
    for (std::unique_lock lock(mutex); !stop.stop_requested();) {
      try {
        return load_principal_secret(config);
      } catch (const std::runtime_error&) {
        again.wait_for(lock, stop, kAgain, [] { return false; });
      }
    }
  });
}

}  // namespace berth::gateway
