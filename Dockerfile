# syntax=docker/dockerfile:1
# One image for one model, without torch:
#
#   docker build --build-arg ARTIFACT=OUT/int8 -t my-model .
#   docker run --read-only -p 8080:8080 my-model
#
# For CUDA: --build-arg RUNTIME=gpu, an fp32 or fp16 artifact, and
#
#   docker run --gpus all -p 8080:8080 my-model --device cuda
#
# The GPU image needs no CUDA base: the libraries come as wheels, the driver from the NVIDIA Container Toolkit.

FROM python:3.12-slim AS build
ARG RUNTIME=cpu
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY replank replank
COPY compress compress
COPY export export
COPY serve serve
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/replank \
 && pip --python /opt/replank/bin/python install --no-cache-dir -c constraints.txt "$(echo /wheels/replank-*.whl)[serve,${RUNTIME}]"

FROM python:3.12-slim
# The two NVIDIA variables are what CUDA base images would set; without a GPU they mean nothing.
ENV PATH=/opt/replank/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build /opt/replank /opt/replank
ARG ARTIFACT=model
COPY --chown=10001:10001 ${ARTIFACT} /model
USER 10001
# A damaged or incomplete artifact ends the build, not the first start.
RUN ["replank", "inspect", "/model"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
ENTRYPOINT ["replank", "serve", "/model", "--host", "0.0.0.0"]
