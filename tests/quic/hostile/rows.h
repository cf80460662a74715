/* tests/quic/hostile/rows.h: which row of docs/hostile.md a test stands for, and what has to hold
 * whatever the row.
 *
 * Shape:  a test makes a Row first. Rows says which rows its program has to prove; at the end it prints
 *         "hostile A: 19 of 19", where a row counts when it was run and nothing in it failed.
 */
#ifndef TESTS_QUIC_HOSTILE_ROWS_H
#define TESTS_QUIC_HOSTILE_ROWS_H

#include <initializer_list>
#include <string>

#include "tests/quic/endpoint/net.h"

namespace hostile
{

/* One per section and program, static. `from`..`to` are its rows but for those in `elsewhere`, which
 * another program proves. */
class Rows
{
  public:
    Rows(const char *section, int from, int to, std::initializer_list<int> elsewhere = {});
};

class Row
{
  public:
    Row(const char *section, int number);
    ~Row();
    Row(const Row &) = delete;
    Row &operator=(const Row &) = delete;

  private:
    std::string section_;
    int number_;
};

/* expect_sound checks what no input may change: the endpoints' books are right, and a server that has
 * proved no address has sent at most three times what it got (RFC 9000 8.1). `injected` datagrams are
 * counted by the endpoint itself. */
void expect_sound(Net &net);

/* expect_nothing_left: all connections are closed and their periods over, every byte came back. */
void expect_nothing_left(Net &net);

const quic_counters &counters(const Side &side);

} // namespace hostile

#endif // TESTS_QUIC_HOSTILE_ROWS_H
