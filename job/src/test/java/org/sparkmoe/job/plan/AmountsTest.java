package org.sparkmoe.job.plan;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class AmountsTest {

  @ParameterizedTest
  @CsvSource({
    "0, 0 B",
    "1, 1 B",
    "1023, 1023 B",
    "1024, 1.00 KiB",
    "1536, 1.50 KiB",
    "10240, 10.0 KiB",
    "102400, 100 KiB",
    "-2048, -2.00 KiB",
    "1048576, 1.00 MiB",
    "3221225472, 3.00 GiB",
    "1099511627776, 1.00 TiB",
    "9223372036854775807, 8192 PiB",
  })
  void bytesTakeTheLargestUnit(long bytes, String text) {
    assertThat(Amounts.bytes(bytes)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"0 | 0", "999 | 999", "1000 | 1,000", "1234567 | 1,234,567", "-1000 | -1,000"})
  void countsSeparateThousands(long count, String text) {
    assertThat(Amounts.count(count)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0.000 s",
    "0.0009, <1 ms",
    "0.0125, 0.013 s",
    "1, 1.0 s",
    "59.9, 59.9 s",
    "60, 1 min 00 s",
    "61.4, 1 min 01 s",
    "119.6, 2 min 00 s",
    "3725, 62 min 05 s",
  })
  void secondsKeepThePrecisionThatMatters(double seconds, String text) {
    assertThat(Amounts.seconds(seconds)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"0 | 0", "0.4 | 0", "1234.5 | 1,235", "2e6 | 2,000,000"})
  void ratesAreCounts(double rate, String text) {
    assertThat(Amounts.rate(rate)).isEqualTo(text);
  }
}
