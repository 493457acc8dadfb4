#include "gateway/registry/sqlite_registry.h"

#include <sqlite3.h>

#include <filesystem>
#include <stdexcept>

namespace berth::gateway::registry {
namespace {

constexpr int kBusy_ms = 2000;

// A removed record stays as one without a value, so that readers hear of it: kRemovedKept of them.
// user_version is the version up to which some have been forgotten.
constexpr const char* kSchema =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS registry(key TEXT PRIMARY KEY, value BLOB, version INTEGER NOT "
    "NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS registry_version ON registry(version);"
    "CREATE INDEX IF NOT EXISTS registry_removed ON registry(version) WHERE value IS NULL;"
    // When a key was removed last, also if it is there again.
    "CREATE TABLE IF NOT EXISTS registry_gone(key TEXT PRIMARY KEY, version INTEGER NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS registry_gone_version ON registry_gone(version);"
    "CREATE TABLE IF NOT EXISTS registry_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) "
    "WITHOUT ROWID;";
constexpr const char* kRemovals = "removals";
constexpr const char* kNoted = "noted_removals";

class Statement {
 public:
  Statement(sqlite3* db, const char* sql) { sqlite3_prepare_v2(db, sql, -1, &s_, nullptr); }
  ~Statement() { sqlite3_finalize(s_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  void text(int at, const std::string& v) {
    sqlite3_bind_text(s_, at, v.data(), static_cast<int>(v.size()), SQLITE_TRANSIENT);
  }
  void blob(int at, const std::optional<std::string>& v) {
    if (v) {
      sqlite3_bind_blob(s_, at, v->data(), static_cast<int>(v->size()), SQLITE_TRANSIENT);
    } else {
      sqlite3_bind_null(s_, at);
    }
  }
  void integer(int at, std::int64_t v) { sqlite3_bind_int64(s_, at, v); }
  int step() { return s_ == nullptr ? SQLITE_ERROR : sqlite3_step(s_); }
  std::string column_text(int at) const {
    return {static_cast<const char*>(sqlite3_column_blob(s_, at)),
            static_cast<std::size_t>(sqlite3_column_bytes(s_, at))};
  }
  std::optional<std::string> column_value(int at) const {
    if (sqlite3_column_type(s_, at) == SQLITE_NULL) return std::nullopt;
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(s_, at));
    return size == 0 ? std::string() : column_text(at);
  }
  std::int64_t column_integer(int at) const { return sqlite3_column_int64(s_, at); }

 private:
  sqlite3_stmt* s_ = nullptr;
};

}  // namespace

void SqliteRegistry::CloseDb::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);  // a statement may still be at work on it
}

SqliteRegistry::SqliteRegistry(std::string path) : path_(std::move(path)) {}
SqliteRegistry::~SqliteRegistry() = default;

void SqliteRegistry::fail() {
  const std::string why = db_ ? sqlite3_errmsg(db_.get()) : "can't be opened";
  db_.reset();
  throw std::runtime_error(path_ + ": " + why);
}

void SqliteRegistry::open() {
  if (db_) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path_.c_str(), &db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  db_.reset(db);
  if (code != SQLITE_OK) fail();
  sqlite3_busy_timeout(db_.get(), kBusy_ms);
  execute(kSchema);
}

void SqliteRegistry::execute(const char* sql) {
  if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

Changes SqliteRegistry::read() {
  open();
  execute("BEGIN");
  try {
    Changes out = read_since();
    execute("COMMIT");
    return out;
  } catch (const std::runtime_error&) {
    db_.reset();
    throw;
  }
}

Changes SqliteRegistry::read_since() {
  if (read_through_ < forgotten()) read_through_ = 0;
  Changes out{.whole = read_through_ == 0, .list = {}};
  out.removals = meta(kRemovals, 0);
  out.noted_removals = meta(kNoted, -1);
  if (!out.whole) read_returned(out);
  Statement s(db_.get(),
              "SELECT key, value, version FROM registry WHERE version > ?1 ORDER BY version");
  s.integer(1, read_through_);
  int code = 0;
  std::int64_t newest = read_through_;
  while ((code = s.step()) == SQLITE_ROW) {
    out.list.push_back({s.column_text(0), s.column_value(1)});
    newest = s.column_integer(2);
  }
  if (code != SQLITE_DONE) fail();
  read_through_ = newest;
  return out;
}

// Those that were removed and are there again: readers hear of both. Devices before what they need.
void SqliteRegistry::read_returned(Changes& out) {
  Statement s(db_.get(),
              "SELECT g.key FROM registry_gone g JOIN registry r ON r.key = g.key "
              "WHERE g.version > ?1 AND r.value IS NOT NULL ORDER BY g.version, g.key");
  s.integer(1, read_through_);
  int code = 0;
  while ((code = s.step()) == SQLITE_ROW) out.list.push_back({s.column_text(0), std::nullopt});
  if (code != SQLITE_DONE) fail();
}

std::int64_t SqliteRegistry::meta(const char* name, std::int64_t otherwise) {
  Statement s(db_.get(), "SELECT value FROM registry_meta WHERE name = ?1");
  s.text(1, name);
  const int code = s.step();
  if (code == SQLITE_DONE) return otherwise;
  if (code != SQLITE_ROW) fail();
  return s.column_integer(0);
}

void SqliteRegistry::set_meta(const char* name, std::int64_t value) {
  Statement s(db_.get(), "INSERT OR REPLACE INTO registry_meta(name, value) VALUES(?1, ?2)");
  s.text(1, name);
  s.integer(2, value);
  if (s.step() != SQLITE_DONE) fail();
}

void SqliteRegistry::note_removals(std::int64_t removals) {
  open();
  set_meta(kNoted, removals);
}

bool SqliteRegistry::write(const std::vector<Write>& writes) {
  open();
  execute("BEGIN IMMEDIATE");
  try {
    const bool good = write_all(writes);
    if (good) forget_removed();
    execute(good ? "COMMIT" : "ROLLBACK");
    return good;
  } catch (const std::runtime_error&) {
    db_.reset();  // rolls back
    throw;
  }
}

bool SqliteRegistry::write_all(const std::vector<Write>& writes) {
  const std::int64_t version = number("SELECT COALESCE(MAX(version), 0) + 1 FROM registry");
  std::int64_t removed = 0;
  for (const Write& w : writes) {
    const std::optional<std::string> before = value_of(w.key);
    if (w.expected && before.value_or("") != *w.expected) return false;
    if (!w.value && before) {
      count_removed(w.key, version);
      ++removed;
    }
    write_one(w, version);
  }
  if (removed != 0) set_meta(kRemovals, meta(kRemovals, 0) + removed);
  return true;
}

std::int64_t SqliteRegistry::number(const char* sql) {
  Statement s(db_.get(), sql);
  if (s.step() != SQLITE_ROW) fail();
  return s.column_integer(0);
}

std::int64_t SqliteRegistry::forgotten() {
  return number("PRAGMA user_version");
}

void SqliteRegistry::forget_removed() {
  const std::int64_t gone = number("SELECT COUNT(*) FROM registry_gone") - kRemovedKept;
  if (gone > 0)
    execute(("DELETE FROM registry_gone WHERE key IN (SELECT key FROM registry_gone "
             "ORDER BY version LIMIT " +
             std::to_string(gone) + ");")
                .c_str());
  const std::int64_t surplus =
      number("SELECT COUNT(*) FROM registry WHERE value IS NULL") - kRemovedKept;
  if (surplus <= 0) return;
  const std::string oldest =
      " FROM registry WHERE value IS NULL ORDER BY version LIMIT " + std::to_string(surplus);
  const std::int64_t through =
      number(("SELECT MAX(version) FROM (SELECT version" + oldest + ")").c_str());
  execute(("DELETE FROM registry WHERE key IN (SELECT key" + oldest + ");").c_str());
  execute(("PRAGMA user_version = " + std::to_string(through)).c_str());
}

void SqliteRegistry::count_removed(const std::string& key, std::int64_t version) {
  Statement s(db_.get(), "INSERT OR REPLACE INTO registry_gone(key, version) VALUES(?1, ?2)");
  s.text(1, key);
  s.integer(2, version);
  if (s.step() != SQLITE_DONE) fail();
}

void SqliteRegistry::write_one(const Write& w, std::int64_t version) {
  Statement s(db_.get(), "INSERT OR REPLACE INTO registry(key, value, version) VALUES(?1, ?2, ?3)");
  s.text(1, w.key);
  s.blob(2, w.value);
  s.integer(3, version);
  if (s.step() != SQLITE_DONE) fail();
}

std::optional<std::string> SqliteRegistry::value_of(const std::string& key) {
  Statement s(db_.get(), "SELECT value FROM registry WHERE key = ?1");
  s.text(1, key);
  const int code = s.step();
  if (code == SQLITE_DONE) return std::nullopt;
  if (code != SQLITE_ROW) fail();
  return s.column_value(0);
}

}  // namespace berth::gateway::registry
