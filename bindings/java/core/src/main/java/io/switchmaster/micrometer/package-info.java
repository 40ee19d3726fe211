/** What a factory counts, for Micrometer. Only this package needs it. */
package io.switchmaster.micrometer;
