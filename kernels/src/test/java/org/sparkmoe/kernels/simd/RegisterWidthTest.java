package org.sparkmoe.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.function.Supplier;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.kernels.testing.Rows;

/** The same bits on every register width, also on widths that this machine has to emulate. */
final class RegisterWidthTest {
  private static final String PROPERTY = "spark.moe.vector.bits";

  @ParameterizedTest
  @ValueSource(ints = {64, 128, 256, 512})
  void theBitsDoNotDependOnTheWidth(int bits) throws ReflectiveOperationException {
    float[] forced = probe(bits);
    assertThat(forced[0]).as("lanes").isEqualTo(bits / 32f);
    float[] preferred = new WidthProbe().get();
    assertThat(preferred[0]).isEqualTo(Simd.LANES);
    Rows.assertSameBits(
        Arrays.copyOfRange(forced, 1, forced.length),
        Arrays.copyOfRange(preferred, 1, preferred.length),
        bits + " bits, seed 97");
  }

  private static float[] probe(int bits) throws ReflectiveOperationException {
    System.setProperty(PROPERTY, Integer.toString(bits));
    try {
      Class<?> probe = new FreshClasses().loadClass(WidthProbe.class.getName());
      Supplier<?> supplier = (Supplier<?>) probe.getDeclaredConstructor().newInstance();
      return (float[]) supplier.get();
    } finally {
      System.clearProperty(PROPERTY);
    }
  }

  /** Defines this project's classes anew, so that constants are decided again. */
  private static final class FreshClasses extends ClassLoader {
    FreshClasses() {
      super(RegisterWidthTest.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("org.sparkmoe.")) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        return loaded == null ? define(name) : loaded;
      }
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      String resource = name.replace('.', '/') + ".class";
      try (InputStream in = getParent().getResourceAsStream(resource)) {
        if (in == null) {
          throw new ClassNotFoundException(name);
        }
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }
}
