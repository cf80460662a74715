#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "quring/base.h"

#include "tools/quicperf/asked.h"
#include "tools/quicperf/proto.h"

namespace
{

/* A run of requests on four connections that lacks nothing. */
class Asked : public testing::Test
{
  protected:
    Asked()
    {
        o_.mode = QP_MODE_RR;
        r_.connections = 4;
        r_.requests = 9;
        r_.bytes = 1;
    }

    /* What is missing; "" when nothing is. */
    std::string Missed() const
    {
        char text[256] = "";
        bool missed = qp_asked_but_missed(text, sizeof(text), &o_, &r_);
        EXPECT_EQ(missed, text[0] != '\0');
        return text;
    }

    void Misses(const std::string &begin) const
    {
        EXPECT_EQ(Missed().substr(0, begin.size()), begin);
    }

    qp_options o_ = {};
    qp_result r_ = {};
};

TEST_F(Asked, NothingIsNothing)
{
    Misses("");
    EXPECT_EQ(Missed(), "");
    r_ = {};
    const struct {
        uint32_t mode;
        const char *text;
    } all[] = {{QP_MODE_TPUT, "not one byte was"},  {QP_MODE_FAIR, "not one byte was"},
               {QP_MODE_RR, "no request was"},      {QP_MODE_CRR, "no request was"},
               {QP_MODE_LATENCY, "no request was"}, {QP_MODE_DGRAM, "not one datagram"},
               {QP_MODE_HPS, "no handshake was"},   {QP_MODE_IDLE, ""}};
    for (const auto &one : all) {
        o_.mode = one.mode;
        Misses(one.text);
        EXPECT_EQ(Missed().empty(), one.text[0] == '\0');
    }
    r_.bytes = r_.requests = r_.datagrams = r_.connections = 1;
    for (const auto &one : all) {
        o_.mode = one.mode;
        EXPECT_EQ(Missed(), "");
    }
}

TEST_F(Asked, Sessions)
{
    o_.resume = true;
    r_.resumed_count = 3;
    Misses("3 of 4 connections resumed");
    o_.mode = QP_MODE_CRR; /* which begins the next one before the ticket has come */
    EXPECT_EQ(Missed(), "");
    r_.resumed_count = 0;
    Misses("0 of 4 connections resumed");
    o_.mode = QP_MODE_RR;
    r_.resumed_count = 4;
    EXPECT_EQ(Missed(), "");
    o_.zero_rtt = true;
    r_.zero_rtt_count = 3;
    Misses("0-RTT was accepted on 3 of 4");
    r_.zero_rtt_count = 4;
    EXPECT_EQ(Missed(), "");
    o_.resume = false;
    r_.resumed_count = 3;
    Misses("3 of 4 connections resumed");
    r_.resumed_count = 4;
    o_.token = true;
    r_.token_count = 1;
    Misses("1 of 4 connections were spared a Retry");
    r_.token_count = 4;
    EXPECT_EQ(Missed(), "");
}

TEST_F(Asked, Versions)
{
    r_.version_count = 3;
    EXPECT_EQ(Missed(), "");
    o_.version = QP_VERSION_1;
    Misses("3 of 4 connections speak version 1");
    o_.version = QP_VERSION_UPGRADE;
    Misses("3 of 4 connections speak version 2");
    r_.version_count = 4;
    EXPECT_EQ(Missed(), "");
    EXPECT_FALSE(qp_asked_version(&o_, QURING_QUIC_V1));
    EXPECT_TRUE(qp_asked_version(&o_, QURING_QUIC_V2));
    o_.version = QP_VERSION_1;
    EXPECT_TRUE(qp_asked_version(&o_, QURING_QUIC_V1));
    EXPECT_FALSE(qp_asked_version(&o_, QURING_QUIC_V2));
    o_.version = QP_VERSION_ANY;
    EXPECT_TRUE(qp_asked_version(&o_, QURING_QUIC_V1));
    EXPECT_TRUE(qp_asked_version(&o_, QURING_QUIC_V2));
}

TEST_F(Asked, Tls)
{
    o_.disable_encryption = true;
    r_.unencrypted_count = 3;
    Misses("3 of 4 connections go without encryption");
    r_.unencrypted_count = 4;
    o_.cert = "x.pem";
    r_.client_cert_count = 2;
    Misses("the certificate was shown on 2 of 4");
    r_.client_cert = true;
    EXPECT_EQ(Missed(), "");
    o_.cipher = 1;
    (void)snprintf(r_.cipher, sizeof(r_.cipher), "TLS_CHACHA20_POLY1305_SHA256");
    Misses("the server chose TLS_CHACHA20_POLY1305_SHA256, not TLS_AES_128_GCM_SHA256");
    o_.cipher = 3;
    EXPECT_EQ(Missed(), "");
}

TEST_F(Asked, Paths)
{
    o_.migrate_ns = 1;
    Misses("no connection moved: the run was shorter");
    r_.move_refused = QURING_E_NOT_SUPPORTED;
    Misses("no connection moved: the server forbids it");
    r_.move_refused = QURING_E_STATE;
    Misses(std::string("no connection moved: ") + quring_status_text(QURING_E_STATE));
    r_.migrations = 1;
    EXPECT_EQ(Missed(), "");
    o_.impair.asked = 1u << QP_IMPAIR_LOSS;
    o_.impair.link.loss_ppm = 1;
    EXPECT_EQ(Missed(), "");
    r_.proxied = true;
    Misses("--loss changed nothing");
    r_.proxy.fates[1][QURING_IMPAIR_LOST] = 1;
    EXPECT_EQ(Missed(), "");
}

TEST_F(Asked, WhatOnlySomeStreamsHave)
{
    r_.errors = 2;
    Misses("2 of 11 answers had not the length");
    r_.errors = 0;
    o_.bulk = 1;
    Misses("not one byte of --bulk");
    r_.bulk_bytes = 1;
    o_.urgent_bytes = 1;
    Misses("--urgent changed nothing");
    r_.urgent_streams = 1;
    o_.ack_frequency = true;
    Misses("nobody was asked for fewer acknowledgements");
    r_.ack_frequency = 1;
    o_.key_update_bytes = 1;
    Misses("the keys were never updated");
    r_.key_updates = 1;
    EXPECT_EQ(Missed(), "");
}

TEST_F(Asked, Lengths)
{
    char text[128];
    EXPECT_STREQ(qp_asked_length(text, sizeof(text), 5, 6),
                 "the server goes on after 6 bytes, which is not what it was asked for");
    EXPECT_STREQ(qp_asked_length(text, sizeof(text), 5, 4),
                 "the server ended a transfer after 4 bytes, which is not what it was asked for");
    EXPECT_STREQ(qp_asked_length(text, sizeof(text), QP_ENDLESS, 4),
                 "the server ended a transfer after 4 bytes and not with the run");
}

} // namespace
