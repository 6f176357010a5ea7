# Apache Kafka out of the locked jars and this machine's Java, for engines that can pull nothing.
# It takes the same variables as apache/kafka. The build context is made by images.py.
FROM scratch
COPY root/ /
ENV PATH=/usr/bin:/opt/java/bin LD_LIBRARY_PATH=/lib/copied
RUN mkdir -p /var/lib/kafka/data /opt/kafka/config \
 && chown -R 1000:1000 /var/lib/kafka/data /opt/kafka/config
USER 1000:1000
VOLUME ["/var/lib/kafka/data"]
EXPOSE 9092
CMD ["/opt/kafka/run"]
