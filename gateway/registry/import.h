// The registry as files: YAML (a whole site by hand; the registry file) and CSV (many devices, out
// of a table). Both are checked as a whole before anything is written. docs/registry.md shows them.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gateway/registry/records.h"
#include "gateway/registry/registry_store.h"

namespace berth::gateway::registry {

// A record as it was said, before normalized().
struct Said {
  std::string key;
  std::unique_ptr<Message> message;
  int line = 0;
  // The same as JSON. Of a record that is there already only what stands here is changed.
  boost::json::object patch = {};
  bool add_credentials = false;  // to those that it has
};

// Throw BadRecord with "line N: why"; import_budget.h says how large they may be. Anchors and
// aliases are refused.
std::vector<Said> parse_yaml(const std::string& text);
// The first line names the columns (csv.h). Several lines of one device are several credentials. An
// empty cell says nothing.
std::vector<Said> parse_csv(const std::string& text);

struct WriteOptions {
  Hashing hashing;
  bool replace = false;      // a record is what is said, but for secrets that are not said
  bool known_sites = false;  // an account names no site that there is not
  const std::set<std::string, std::less<>>* only = nullptr;  // these keys; null: all
};
using Find = std::function<const std::string*(std::string_view key)>;
// Ready to be written; `find` gives what is there already, of which what is not said stays. Throws
// BadRecord with "line N: why", for a site or product that is neither there nor among them too.
std::vector<Write> to_writes(std::vector<Said>& said, const Find& find,
                             const WriteOptions& options);
inline std::vector<Write> to_writes(std::vector<Said> said, const Find& find, int iterations) {
  return to_writes(said, find, WriteOptions{.hashing = iterations});
}

}  // namespace berth::gateway::registry
