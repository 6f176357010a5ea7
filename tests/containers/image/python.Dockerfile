# This machine's Python as a base image, for engines that can pull nothing.
# The build context is made by images.py.
FROM scratch
COPY root/ /
ENV PATH=/usr/local/bin:/usr/bin LD_LIBRARY_PATH=/lib/copied
CMD ["python3"]
