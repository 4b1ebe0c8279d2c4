#include "broker_plugin/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"

namespace evp::broker_plugin {
namespace {

namespace control = mqtt::control;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

class registry_test : public testing::Test {
 protected:
  registry_test() {
    for (const char* id : {"a", "b"}) apply(control::set_device{id, sha256(std::string("token-") + id), false});
  }
  std::vector<std::string> apply(control::command c) {
    auto r = devices_.apply(at(99), c);
    EXPECT_TRUE(r);
    return r.value_or(std::vector<std::string>());
  }
  static connection at(std::uintptr_t number) { return reinterpret_cast<connection>(number); }
  login of(const std::string& device, std::uintptr_t where, std::string client_id) {
    return login{at(where), std::move(client_id), std::nullopt, device, "token-" + device, true};
  }
  errc refusal(const login& l) {
    auto answer = devices_.admit(l);
    EXPECT_FALSE(answer.who);
    return answer.who ? errc::internal : answer.who.error().code();
  }
  registry devices_{secret("backend-password")};
};

TEST_F(registry_test, a_device_is_who_its_token_says) {
  const auto answer = devices_.admit(of("a", 1, "a"));
  ASSERT_TRUE(answer.who);
  EXPECT_EQ(answer.who->device, "a");
  EXPECT_TRUE(answer.is_new);
  EXPECT_EQ(*devices_.client_of("a"), "a");
  EXPECT_EQ(devices_.find(at(1))->device, "a");
}

TEST_F(registry_test, wrong_token_unknown_device_and_nobody_are_unauthenticated) {
  auto l = of("a", 1, "a");
  l.password = "token-b";
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  l.password.reset();
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  EXPECT_EQ(refusal(of("c", 1, "c")), errc::unauthenticated);
  l.username.reset();
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  EXPECT_EQ(devices_.find(at(1)), nullptr);
}

TEST_F(registry_test, observers_come_with_their_token_alone_and_are_no_device) {
  auto l = of("a", 1, "ops");
  l.username = "$observer";
  for (const char* guess : {"", "token-a", "backend-password", "o"}) {
    l.password = guess;
    EXPECT_EQ(refusal(l), errc::unauthenticated) << "before one was set";
  }
  apply(control::set_observer{sha256("o")});
  l.password = "token-a";
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  l.password = "o";
  auto answer = devices_.admit(l);
  ASSERT_TRUE(answer.who);
  EXPECT_TRUE(answer.who->is_observer());
  EXPECT_FALSE(answer.who->is_device() || answer.who->is_backend() || answer.is_new);
  l.from = at(2);
  l.client_id = "ops-2";
  answer = devices_.admit(l);
  EXPECT_TRUE(answer.who);
  EXPECT_THAT(answer.kick, IsEmpty()) << "any number of them";
  EXPECT_EQ(devices_.left(at(2)), std::nullopt);
  EXPECT_THAT(devices_.online(), IsEmpty());
}

TEST_F(registry_test, an_observer_keeps_no_session_and_takes_nobody_s_place) {
  apply(control::set_observer{sha256("o")});
  ASSERT_TRUE(devices_.admit(of("a", 1, "a-phone")).who);
  auto l = of("a", 2, "ops");
  l.username = "$observer";
  l.password = "o";
  for (const char* other : {"a", "b", "a-phone"}) {
    l.client_id = other;
    EXPECT_EQ(refusal(l), errc::permission_denied) << other;
  }
  l.client_id = "ops";
  l.clean_start = false;
  EXPECT_EQ(refusal(l), errc::permission_denied);
  l.clean_start = true;
  EXPECT_TRUE(devices_.admit(l).who);
  EXPECT_EQ(refusal(of("b", 3, "ops")), errc::permission_denied);
  EXPECT_THAT(apply(control::set_observer{sha256("o")}), IsEmpty());
  EXPECT_THAT(apply(control::set_observer{sha256("new")}), ElementsAre("ops"));
}

TEST_F(registry_test, a_device_without_a_token_needs_its_certificate) {
  apply(control::set_device{"c", "", false});
  auto l = of("c", 1, "c");
  for (const char* guess : {"", "-", "token-c"}) {
    l.password = guess;
    EXPECT_EQ(refusal(l), errc::unauthenticated);
  }
  l.password.reset();
  l.username.reset();
  l.certificate_name = "c";
  EXPECT_TRUE(devices_.admit(l).who);
}

TEST_F(registry_test, a_certificate_speaks_for_its_own_device_only) {
  auto l = of("b", 1, "x");
  l.certificate_name = "a";
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  l.username = "$backend";
  l.password = "backend-password";
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  l.username.reset();
  for (const char* name : {"", "unknown", "$backend", "a/b", "#"}) {
    l.certificate_name = name;
    EXPECT_FALSE(devices_.admit(l).who) << name;
  }
}

TEST_F(registry_test, the_backend_needs_its_password) {
  login l{at(1), "backend-1", std::nullopt, "$backend", "backend-password", true};
  const auto answer = devices_.admit(l);
  ASSERT_TRUE(answer.who);
  EXPECT_TRUE(answer.who->is_backend());
  EXPECT_FALSE(answer.is_new);
  l.password = "";
  EXPECT_EQ(refusal(l), errc::unauthenticated);
  EXPECT_EQ(registry(secret()).admit(l).who.error().code(), errc::unauthenticated);
}

TEST_F(registry_test, nobody_comes_with_the_client_id_of_another) {
  EXPECT_EQ(refusal(of("b", 2, "a")), errc::permission_denied) << "also while the other is away";
  ASSERT_TRUE(devices_.admit(of("a", 1, "free")).who);
  EXPECT_EQ(refusal(of("b", 2, "free")), errc::permission_denied);
  ASSERT_TRUE(devices_.admit(login{at(3), "backend-1", std::nullopt, "$backend", "backend-password", true}).who);
  EXPECT_EQ(refusal(of("b", 2, "backend-1")), errc::permission_denied);
  EXPECT_EQ(devices_.find(at(1))->device, "a");
  EXPECT_EQ(*devices_.client_of("a"), "free");
}

TEST_F(registry_test, what_was_left_under_a_free_client_id_is_not_inherited) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "free")).who);
  EXPECT_EQ(devices_.left(at(1))->device, "a");
  auto l = of("b", 2, "free");
  l.clean_start = false;
  EXPECT_EQ(refusal(l), errc::permission_denied);
  l.clean_start = true;
  EXPECT_TRUE(devices_.admit(l).who);
  auto own = of("a", 3, "a");
  own.clean_start = false;
  EXPECT_TRUE(devices_.admit(own).who);
}

TEST_F(registry_test, a_newer_session_ends_the_older_one_of_the_device) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "first")).who);
  const auto second = devices_.admit(of("a", 2, "second"));
  EXPECT_THAT(second.kick, ElementsAre("first"));
  EXPECT_TRUE(second.is_new);
  EXPECT_THAT(second.offline, IsEmpty()) << "it is connected all the time";
  EXPECT_EQ(devices_.find(at(1)), nullptr) << "a will of the older one finds nobody";
  EXPECT_EQ(devices_.left(at(1)), std::nullopt) << "its end is not the device's";
  EXPECT_EQ(*devices_.client_of("a"), "second");

  const auto takeover = devices_.admit(of("a", 3, "second"));
  EXPECT_THAT(takeover.kick, IsEmpty());
  EXPECT_TRUE(takeover.is_new);
  EXPECT_THAT(takeover.offline, IsEmpty());
  EXPECT_GT(takeover.who->number, second.who->number);
  EXPECT_EQ(devices_.find(at(2)), nullptr);
  EXPECT_EQ(devices_.left(at(3))->device, "a");
}

TEST_F(registry_test, a_kick_that_names_a_session_ends_no_other) {
  auto first = of("a", 1, "x");
  first.at = steady_time(milliseconds(5));
  const auto elder = devices_.admit(first).who->number;
  ASSERT_EQ(devices_.online().size(), 1u);
  EXPECT_EQ(devices_.online()[0]->number, elder);
  EXPECT_EQ(devices_.online()[0]->began, first.at);
  const auto newer = devices_.admit(of("a", 2, "y")).who->number;
  EXPECT_THAT(apply(control::kick_device{"a", elder}), IsEmpty()) << "it came too late";
  EXPECT_THAT(apply(control::kick_device{"b", newer}), IsEmpty());
  EXPECT_THAT(apply(control::kick_device{"a", newer}), ElementsAre("y"));
  EXPECT_THAT(apply(control::kick_device{"a"}), ElementsAre("y")) << "whichever it is";
  EXPECT_EQ(registry(secret("p"), 1000).admit(login{at(1), "", std::nullopt, "$backend", "p", true}).who->number,
            1000u);
}

TEST_F(registry_test, the_backend_gets_its_client_id_from_a_device_that_used_it) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "backend-1")).who);
  const auto answer = devices_.admit(login{at(2), "backend-1", std::nullopt, "$backend", "backend-password", true});
  ASSERT_TRUE(answer.who);
  EXPECT_THAT(answer.offline, ElementsAre(Field(&session::device, "a")));
  EXPECT_EQ(devices_.find(at(1)), nullptr);
}

TEST_F(registry_test, asking_again_for_a_living_connection_changes_nothing) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "x")).who);
  const auto again = devices_.admit(of("a", 1, "x"));
  EXPECT_TRUE(again.who);
  EXPECT_THAT(again.kick, IsEmpty());
  EXPECT_FALSE(again.is_new);
}

TEST_F(registry_test, an_address_used_again_is_a_new_connection) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "x")).who);
  EXPECT_EQ(devices_.admit(of("b", 1, "y")).who->device, "b");
  EXPECT_EQ(devices_.client_of("a"), nullptr);
  auto wrong = of("a", 1, "x");
  wrong.password = "";
  EXPECT_EQ(refusal(wrong), errc::unauthenticated);
  EXPECT_EQ(devices_.find(at(1)), nullptr);
}

TEST_F(registry_test, blocking_removing_and_a_new_token_end_the_session) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "x")).who);
  EXPECT_THAT(apply(control::set_device{"a", sha256("token-a"), false}), IsEmpty()) << "nothing new";
  EXPECT_THAT(apply(control::set_device{"a", sha256("token-a"), true}), ElementsAre("x"));
  EXPECT_EQ(refusal(of("a", 2, "x")), errc::permission_denied);
  apply(control::set_device{"a", sha256("token-a"), false});
  ASSERT_TRUE(devices_.admit(of("a", 3, "x")).who);
  EXPECT_THAT(apply(control::set_device{"a", sha256("other"), false}), ElementsAre("x"));
  ASSERT_TRUE(devices_.admit(of("b", 4, "y")).who);
  EXPECT_THAT(apply(control::kick_device{"b"}), ElementsAre("y"));
  EXPECT_THAT(apply(control::remove_device{"b"}), ElementsAre("y"));
  EXPECT_EQ(refusal(of("b", 5, "y")), errc::unauthenticated);
}

TEST_F(registry_test, a_replacement_removes_whom_it_does_not_list) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "x")).who);
  ASSERT_TRUE(devices_.admit(of("b", 2, "y")).who);
  apply(control::replace_begin{});
  apply(control::set_device{"b", sha256("token-b"), false});
  EXPECT_EQ(devices_.size(), 2u) << "nothing happens before its end";
  EXPECT_THAT(apply(control::replace_end{}), ElementsAre("x"));
  EXPECT_EQ(devices_.size(), 1u);
  EXPECT_EQ(devices_.apply(at(99), control::replace_end{}).error().code(), errc::failed_precondition);
}

TEST_F(registry_test, a_device_of_which_another_backend_tells_during_a_replacement_stays) {
  apply(control::replace_begin{});
  apply(control::set_device{"a", sha256("token-a"), false});
  ASSERT_TRUE(devices_.apply(at(98), control::set_device{"c", sha256("token-c"), false}));
  apply(control::replace_end{});
  EXPECT_TRUE(devices_.admit(of("a", 1, "a")).who);
  EXPECT_TRUE(devices_.admit(of("c", 2, "c")).who);
  EXPECT_EQ(refusal(of("b", 3, "b")), errc::unauthenticated);
}

TEST_F(registry_test, replacements_of_two_backends_at_once_keep_what_both_list) {
  apply(control::replace_begin{});
  ASSERT_TRUE(devices_.apply(at(98), control::replace_begin{}));
  for (const char* id : {"a", "b"}) {
    const control::set_device known{id, sha256(std::string("token-") + id), false};
    ASSERT_TRUE(devices_.apply(at(98), known));
    apply(known);
  }
  apply(control::replace_end{});
  ASSERT_TRUE(devices_.apply(at(98), control::replace_end{}));
  EXPECT_EQ(devices_.size(), 2u);
}

TEST_F(registry_test, a_new_device_gets_its_name_back_from_whoever_used_it_as_client_id) {
  ASSERT_TRUE(devices_.admit(of("a", 1, "c")).who);
  EXPECT_THAT(apply(control::set_device{"c", sha256("token-c"), false}), ElementsAre("c"));
}

login certified(const std::string& device, const std::string& id, connection from, std::string client_id) {
  return login{from, std::move(client_id), device, std::nullopt, std::nullopt, true, {}, id};
}

TEST_F(registry_test, a_revoked_certificate_is_refused_and_its_session_ends_while_the_others_stay) {
  const std::string stolen(32, 's'), kept(32, 'k');
  ASSERT_TRUE(devices_.admit(certified("a", stolen, at(1), "a")).who);
  ASSERT_TRUE(devices_.admit(certified("b", kept, at(2), "b-phone")).who);
  EXPECT_THAT(apply(control::revoke_certificate{stolen}), ElementsAre("a"));
  EXPECT_THAT(apply(control::revoke_certificate{stolen}), IsEmpty());
  devices_.left(at(1));
  EXPECT_EQ(refusal(certified("a", stolen, at(3), "a")), errc::permission_denied);
  EXPECT_TRUE(devices_.admit(certified("a", kept, at(4), "a")).who);
  EXPECT_TRUE(devices_.admit(of("b", 5, "b")).who) << "a token is no certificate";
  apply(control::restore_certificate{stolen});
  EXPECT_TRUE(devices_.admit(certified("a", stolen, at(6), "a")).who);
}

TEST_F(registry_test, a_session_that_is_over_is_not_ended_when_its_certificate_is_revoked) {
  const std::string stolen(32, 's'), fresh(32, 'f');
  ASSERT_TRUE(devices_.admit(certified("a", stolen, at(1), "a")).who);
  ASSERT_TRUE(devices_.admit(certified("a", fresh, at(2), "a")).who);
  EXPECT_THAT(apply(control::revoke_certificate{stolen}), IsEmpty());
  EXPECT_THAT(apply(control::revoke_certificate{fresh}), ElementsAre("a"));
}

TEST_F(registry_test, a_replacement_restores_what_it_does_not_name) {
  const std::string one(32, '1'), two(32, '2'), other(32, '3');
  apply(control::revoke_certificate{one});
  apply(control::revoke_certificate{two});
  apply(control::replace_begin{});
  apply(control::set_device{"a", "", false});
  apply(control::revoke_certificate{two});
  EXPECT_EQ(refusal(certified("a", one, at(1), "a")), errc::permission_denied) << "until its end";
  ASSERT_TRUE(devices_.apply(at(98), control::revoke_certificate{other}));
  apply(control::replace_end{});
  EXPECT_TRUE(devices_.admit(certified("a", one, at(1), "a")).who);
  EXPECT_EQ(refusal(certified("a", two, at(2), "a")), errc::permission_denied);
  EXPECT_EQ(refusal(certified("a", other, at(2), "a")), errc::permission_denied) << "what another backend said";
  EXPECT_EQ(devices_.revoked(), 2u);
}

}  // namespace
}  // namespace evp::broker_plugin
