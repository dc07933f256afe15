package org.sparkmoe.kernels.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class PlatformTest {

  @ParameterizedTest
  @CsvSource({"amd64,LINUX_X86_64", "x86_64,LINUX_X86_64", "aarch64,LINUX_ARM64"})
  void namesTheMachinesOfJavaLikeTheJars(String arch, Platform expected) throws NativesException {
    assertThat(Platform.of("Linux", arch, "")).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource({"Mac OS X,aarch64", "Windows 11,amd64", "Linux,riscv64"})
  void refusesOthersByName(String os, String arch) {
    assertThatThrownBy(() -> Platform.of(os, arch, ""))
        .isInstanceOf(NativesException.class)
        .hasMessageContaining("no native library for " + os)
        .hasMessageContaining(arch);
  }

  @Test
  void refusesMusl() {
    assertThatThrownBy(() -> Platform.of("Linux", "amd64", "r-xp /lib/ld-musl-x86_64.so.1\n"))
        .hasMessage(
            "the native libraries need glibc, this JVM runs on musl; use an image with glibc");
  }
}
