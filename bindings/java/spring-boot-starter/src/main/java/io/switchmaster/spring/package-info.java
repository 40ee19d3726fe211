/** Beans of a Spring Boot application that follows a Redis Sentinel master. */
package io.switchmaster.spring;
