// Credentials of accounts at an edge of a cluster: the edge has no registry, so it asks the engine
// of partition 0. That one remembers the failed attempts of all edges that ask it, until it ends.
// The credential goes over the link, as passwords of devices do.
#pragma once

#include <string>

#include "gateway/admin/accounts.h"
#include "gateway/admin/home_loop.h"
#include "gateway/link/asker.h"
#include "gateway/rest/accounts.h"

namespace berth::gateway::registry {

// For the edge's admin server. `asker` is used on home's thread, as long as the server runs.
admin::AccountCheck remote_accounts(admin::HomeLoop home, const link::Asker& asker);

// The engine's side: answers AskKind::check_account, on the thread of `accounts`. Null: there is no
// registry, so nobody has an account.
void answer_claim(ApiAccounts* accounts, const protocol::link::Question& q,
                  link::Answered answered);

// JSON in both directions. False: it is none.
std::string encode_claim(const admin::Claim& c);
bool decode_claim(const std::string& bytes, admin::Claim& out);
std::string encode_answer(const admin::ClaimAnswer& a);
bool decode_answer(const std::string& bytes, admin::ClaimAnswer& out);

}  // namespace berth::gateway::registry
