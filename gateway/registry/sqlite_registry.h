// The registry of a single machine: a SQLite file that the edge's process writes (REST) and engine
// processes read. Durable when write() returns (WAL, synchronous=FULL).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gateway/registry/registry_store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace berth::gateway::registry {

class SqliteRegistry final : public RegistryStore {
 public:
  explicit SqliteRegistry(std::string path);  // opened when first used
  ~SqliteRegistry() override;
  Changes read() override;
  bool write(const std::vector<Write>& writes) override;
  void note_removals(std::int64_t removals) override;

 private:
  struct CloseDb {
    void operator()(sqlite3* db) const;
  };
  void open();
  void execute(const char* sql);
  Changes read_since();
  std::int64_t number(const char* sql);
  std::int64_t forgotten();  // up to which version removals may have been forgotten
  void forget_removed();
  void read_returned(Changes& out);
  void count_removed(const std::string& key, std::int64_t version);
  std::int64_t meta(const char* name, std::int64_t otherwise);
  void set_meta(const char* name, std::int64_t value);
  bool write_all(const std::vector<Write>& writes);
  void write_one(const Write& w, std::int64_t version);
  std::optional<std::string> value_of(const std::string& key);
  [[noreturn]] void fail();

  std::string path_;
  std::unique_ptr<sqlite3, CloseDb> db_;
  std::int64_t read_through_ = 0;  // version
};

}  // namespace berth::gateway::registry
