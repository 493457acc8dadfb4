#include "gateway/ctl/registry.h"

#include <CLI/CLI.hpp>

namespace berth::gateway {

RegistryVerb::RegistryVerb(CLI::App& control) {
  CLI::App* all = control.add_subcommand(
      "registry",
      "its records: list, get, put, remove; export and import; what to do about its loss");
  all->require_subcommand(1);
  add_records(*all);
  export_ = all->add_subcommand(
      "export", "print all records as YAML that an import reads, password hashes and keys too");
  import_ = all->add_subcommand("import", "write the records of a YAML or CSV file");
  import_->add_option("file", file_, "its path; *.csv is CSV")->required();
  import_->add_flag("--replace", replace_,
                    "records become what the file says of them; what it does not say goes");
  accept_ = all->add_subcommand(
      "accept-loss", "what is missing in the registry's store has been removed on purpose");
  restore_ =
      all->add_subcommand("restore", "write what is missing into the registry's store again");
}

std::optional<int> RegistryVerb::run(const Ctl& admin) const {
  if (const auto code = run_records(admin)) return code;
  if (*export_) return ctl(admin, "GET", "/api/v1/registry/export?secrets=true");
  if (*import_) return ctl_import(admin, file_, replace_);
  if (*accept_) return ctl(admin, "POST", "/api/v1/registry/accept-loss");
  if (*restore_) return ctl(admin, "POST", "/api/v1/registry/restore");
  return std::nullopt;
}

}  // namespace berth::gateway
